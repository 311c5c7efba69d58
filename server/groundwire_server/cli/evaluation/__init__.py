"""How well searches find what people judged relevant, and how fast."""
