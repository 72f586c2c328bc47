"""Files of every kind that is read: good ones, bad ones made of them, and a fork that reads them."""
