"""What tenants use: counted here, added up in Redis, reported by day."""
