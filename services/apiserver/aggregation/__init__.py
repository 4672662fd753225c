"""Who serves which group of the API: this server, or a Service that said so in an APIService."""
