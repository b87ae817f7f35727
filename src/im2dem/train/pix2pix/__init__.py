"""The conditional GAN of ImageToDEM, the research prototype, as it was: the baseline that every table prints.

U-Net and PatchGAN of the TensorFlow tutorial "pix2pix", in both directions: picture to heights, heights to picture.

Sources
-------
Panagiotou et al. (2020), Remote Sensing 12(12), 2002, doi:10.3390/rs12122002. Isola et al. (2017), "Image-to-Image
Translation with Conditional Adversarial Networks", arXiv:1611.07004.
"""
