"""What hospitals send is received, remembered, decided on and delivered. No web framework in it; the date is given."""
