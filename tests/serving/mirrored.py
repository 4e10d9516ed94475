"""An export of networks that two devices hold: `python -m tests.serving.mirrored FOLDER`, in a process of its own."""

import sys

import tensorflow as tf

if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from gsda_tf.data.images import ImageGeometry
    from gsda_tf.serving.module import ServingModule
    from tests import rounding
    from tests.serving.test_export import NAMES, _images, _networks

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        extractor, classifier = _networks()
    module = ServingModule(extractor, classifier, NAMES, ImageGeometry(16, 18))
    tf.saved_model.save(module, sys.argv[1], signatures=module.signatures())
    pixels = _images(3, (16, 16))
    answer = tf.saved_model.load(sys.argv[1]).signatures["images"](images=tf.constant(pixels))["probabilities"]
    expected = tf.nn.softmax(classifier(extractor(pixels)))
    assert rounding.distance(answer, expected) < rounding.FORWARD
    assert len(tf.train.list_variables(f"{sys.argv[1]}/variables/variables")) == len(module.weights) + 2
    print("alike")
