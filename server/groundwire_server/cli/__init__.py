"""The commands: thin programs over the client, and a look at the machine."""
