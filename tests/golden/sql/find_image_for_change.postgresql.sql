SELECT images.id, images.owner, images.name, images.status, images.visibility, images.protected, images.os_hidden, images.min_disk, images.min_ram, images.disk_format, images.container_format, images.size, images.virtual_size, images.checksum, images.os_hash_algo, images.os_hash_value, images.created_at, images.updated_at, images.content_id, images.stores, images.location_references, images.external_url, images.former_owner, images.former_visibility, images.former_status, images.tags, images.properties, CASE WHEN (images.visibility = 'private' OR images.status = 'deactivated') THEN EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = images.id AND endings.member_id = %(project)s::VARCHAR AND endings.ends_at > %(now)s::BIGINT
 LIMIT ALL OFFSET 0) ELSE false END AS promised 
FROM images 
WHERE images.id = %(image_id)s::VARCHAR AND (images.owner = %(project)s::VARCHAR OR images.owner IS NULL OR images.visibility = 'public' OR images.visibility = 'community' OR images.visibility = 'shared' AND (EXISTS (SELECT members.image_id 
FROM members 
WHERE members.image_id = images.id AND members.member_id = %(project)s::VARCHAR AND members.expires_at > %(now)s::BIGINT AND members.hidden = 0
 LIMIT ALL OFFSET 0)) OR (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = images.id AND endings.member_id = %(project)s::VARCHAR AND endings.ends_at > %(now)s::BIGINT
 LIMIT ALL OFFSET 0))) FOR UPDATE OF images
