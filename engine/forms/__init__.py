"""Forms: what is asked so that facts become known, made of the definitions of the facts themselves."""
