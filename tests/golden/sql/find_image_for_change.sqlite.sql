SELECT images.id, images.owner, images.name, images.status, images.visibility, images.protected, images.os_hidden, images.min_disk, images.min_ram, images.disk_format, images.container_format, images.size, images.virtual_size, images.checksum, images.os_hash_algo, images.os_hash_value, images.created_at, images.updated_at, images.content_id, images.stores, images.location_references, images.external_url, images.former_owner, images.former_visibility, images.former_status, images.tags, images.properties 
FROM images 
WHERE images.id = ? AND (images.owner = ? OR images.owner IS NULL OR images.visibility = ? OR images.visibility = ? OR images.visibility = ? AND (EXISTS (SELECT * 
FROM members 
WHERE members.image_id = images.id AND members.member_id = ? AND members.expires_at > ? AND members.hidden = 0)) OR (EXISTS (SELECT * 
FROM endings 
WHERE endings.image_id = images.id AND endings.member_id = ? AND endings.ends_at > ?)))
