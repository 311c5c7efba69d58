"""Text generation: the Engine protocol, one file per engine."""
