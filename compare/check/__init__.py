"""`compare check`: what a server must survive, asked of anybody's server from outside."""
