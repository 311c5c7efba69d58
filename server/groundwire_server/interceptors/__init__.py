"""What happens around every call, one concern per file."""
