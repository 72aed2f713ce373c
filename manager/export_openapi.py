"""`python -m manager.export_openapi > openapi.json`: write the OpenAPI document of a manager that requires API keys.

The file is kept in the repository for people and client generators; a test compares it with a running manager.
"""

import json
import sys

from jobqueue.functions import FunctionRegistry
from manager.app import openapi_document
from manager.settings import ManagerSettings


def main() -> None:
    """Write the document to standard output."""
    settings = ManagerSettings(api_keys=("any",))
    document = openapi_document(settings, FunctionRegistry.discover(settings.functions))
    sys.stdout.write(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
