"""A bidirectional recurrent layer."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("lstm_zoo")
class Bidirectional(keras.layers.Bidirectional):
    """Keras's Bidirectional, with one loop per direction; TensorFlow runs both at once.

    The batch is not split too, as in a unidirectional layer: two cores gain nothing from four
    loops.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.forward_layer.split_batch = self.backward_layer.split_batch = False
