"""Readers of annotation files, one module per format.

A reader parses its files into ``AnnotatedImage`` objects, with coordinates in px and pixel centers
at integer + 0.5, and hands them to ``KeypointImages``, which reads images and serves samples and
annotations. A complete reader of a format with one JSON entry per image::

    class MyKeypoints(KeypointImages):
        def __init__(self, annotations: Path, images: Path, keep_empty: bool = True) -> None:
            found = [
                AnnotatedImage(
                    file_name=text(entry, "file", str(annotations)),
                    keypoints=np.array(entry["people"]).reshape(-1, len(MY_SKELETON), 3),
                    boxes=np.array(entry["boxes"]).reshape(-1, 4),
                    areas=np.array(entry["areas"]),
                )
                for entry in entries(load_json(annotations), str(annotations))
            ]
            table = gather(annotations, found, len(MY_SKELETON), keep_empty)
            super().__init__(table, images, MY_SKELETON)

With an entry in ``data/real_datasets.py`` the dataset opens by name.
"""
