"""The emulated Docker Hub: names, layers, sizes and refusals; the catalogue is data (config/images)."""
