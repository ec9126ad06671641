"""What the server knows of customers: facts made into numbers, schemes and segments, and kept up to date."""
