"""Reading files: parse, clean and cut into chunks that know where they stand."""
