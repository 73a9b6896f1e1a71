"""What a gateway does of its own accord: it performs jobs, and tells those who want to know of their end."""
