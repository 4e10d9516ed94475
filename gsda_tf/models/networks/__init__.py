"""Networks from scratch, one file each: `SIZE`, `PREPROCESSING` (a name of `backbones`) and `build(image_size)`."""
