"""The site of the documents, and the man pages: made from the pages and from the code."""
