"""What the checker refuses, one module for each kind of fault; `engine.rules.check` runs them all."""
