"""Generated from `protos/groundwire/v1` by `make proto`."""
