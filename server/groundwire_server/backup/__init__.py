"""Everything that a server has stored, copied to a folder or an archive, and put back."""
