"""Several processes that serve as one: who they are, what they share, and what they tell one another."""
