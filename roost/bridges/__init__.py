"""Other brokers and protocols: what speaks elsewhere comes in here, and what is here is told elsewhere."""
