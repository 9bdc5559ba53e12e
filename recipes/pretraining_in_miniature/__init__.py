"""Self-supervised pretraining in miniature: does it lower the error rate that a few labelled clips give?"""
