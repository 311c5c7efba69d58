"""Files: folders, locks, SQLite connections and vector files."""
