"""What has been computed already: kept for a while, and never relied on."""
