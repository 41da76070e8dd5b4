"""Work folders and prepared logs in a bucket, with copies on the local disk."""
