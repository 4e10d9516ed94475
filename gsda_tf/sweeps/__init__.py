"""Many runs, and the tables that compare them."""
