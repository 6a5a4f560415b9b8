"""Caddy's narrow door: what its configuration says of functions, and a Caddy of our own."""
