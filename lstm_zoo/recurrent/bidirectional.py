"""Both directions of a recurrent layer at once."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("lstm_zoo")
class Bidirectional(keras.layers.Bidirectional):
    """Keras's Bidirectional, with one loop a direction, which TensorFlow runs side by side.

    Halving the batch too, as a layer of one direction does, would leave small products that the
    two cores of the measurement gain nothing by.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self.forward_layer.halves = self.backward_layer.halves = False
