"""What calls give: frozen dataclasses, and the functions that read them from messages."""
