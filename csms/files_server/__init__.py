"""The files process: serves hosted files over FTP and FTPS, and takes uploads over them."""
