"""Client of Groundwire: the generated stubs are in `groundwire.v1`."""
