"""What a model has to beat: n-grams at predicting, and simple players at playing on."""
