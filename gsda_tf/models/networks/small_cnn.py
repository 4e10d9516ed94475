"""Three 3x3 convolutions, for digits."""

import keras

SIZE = 32  # pixels, where nothing else is said
PREPROCESSING = "minus_one_to_one"


def build(image_size: int) -> keras.Model:
    """Builds the network: images [N, S, S, 3] -> [N, units]."""
    layers = [keras.Input([image_size, image_size, 3])]
    for filters in (32, 64, 128):
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        if filters == 64 or image_size > 16:
            layers.append(keras.layers.MaxPooling2D(2))
    layers.append(keras.layers.Flatten())
    return keras.Sequential(layers, name="small_cnn")
