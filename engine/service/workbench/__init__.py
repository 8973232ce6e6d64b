"""The workbench: pages on which a person sees the engine think, and answers what it does not know."""
