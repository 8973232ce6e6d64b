"""How far the rules can see on a feed: codes that are met, codes that look relevant and are unknown, blind rules."""
