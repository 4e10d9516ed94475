"""Tables, pictures and pages, made from what runs leave."""
