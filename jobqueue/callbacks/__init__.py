"""The outbox of callbacks: entries that the scripts which end jobs have written, and what managers do with them."""
