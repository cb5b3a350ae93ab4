SELECT images.id, images.owner, images.name, images.status, images.visibility, images.protected, images.os_hidden, images.min_disk, images.min_ram, images.disk_format, images.container_format, images.size, images.virtual_size, images.checksum, images.os_hash_algo, images.os_hash_value, images.created_at, images.updated_at, images.content_id, images.stores, images.location_references, images.external_url, images.former_owner, images.former_visibility, images.former_status, images.tags, images.properties 
FROM images 
WHERE images.owner = ? AND images.status = ? ORDER BY images.created_at DESC, images.id DESC
 LIMIT ? OFFSET ?
