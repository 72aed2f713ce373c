"""The function that workers run: one image in, its thumbnail out."""

import base64
import io

from PIL import Image, UnidentifiedImageError

from worker_node.functions import PermanentError, binary


@binary
def thumbnail(data: bytes, size: int = 128) -> str:
    """Return the image as a PNG of at most `size` times `size` pixels, in base64: results are JSON."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.thumbnail((size, size))
            output = io.BytesIO()
            image.convert("RGB").save(output, "PNG")
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise PermanentError(str(error)) from error  # another attempt would not help
    return base64.b64encode(output.getvalue()).decode()
