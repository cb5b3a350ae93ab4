"""The metadata database: the only package that speaks SQL. Functions take a transaction first and return model values."""
