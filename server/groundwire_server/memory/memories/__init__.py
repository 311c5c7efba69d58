"""Long-term memories: what is known of a subject beyond its sessions."""
