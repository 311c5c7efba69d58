"""What calls ask: arguments to messages, one module for each group of calls."""
