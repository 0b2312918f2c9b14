"""A private laboratory for one end-to-end test: registry, ipcsd and containerd in a directory of their own."""
