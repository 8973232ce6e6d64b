"""Why a rule concludes what it does, and what is missing: proofs, answers that would change the outcome, trees."""
