SELECT cached_images.image_id, cached_images.hits, cached_images.last_accessed, cached_images.last_modified, images.size, images.checksum, images.content_id 
FROM cached_images JOIN images ON images.id = cached_images.image_id 
WHERE cached_images.node = ? ORDER BY cached_images.last_modified, cached_images.image_id
