"""Many patients: where they come from."""
