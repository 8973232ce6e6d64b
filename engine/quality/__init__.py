"""How good a ruleset is, beyond being accepted: what its vignettes reach and constrain, what can be proved of it, what
it leaves unused, what is traced to its sources, and what a new version changes for given patients."""
