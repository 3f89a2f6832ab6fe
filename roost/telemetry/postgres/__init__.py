"""The log on PostgreSQL: slices of rows that are being written, sealed blocks by month, and both read as one."""
